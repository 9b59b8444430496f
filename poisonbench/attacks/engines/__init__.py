"""The mathematics that several attacks share: objectives, retraining and ascents."""
