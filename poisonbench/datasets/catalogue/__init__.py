"""The catalogue of published data sets: entries, fetching, checking, describing."""
