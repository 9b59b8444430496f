"""Mathematics that several defenses share: fits, concentration steps and rate searches."""
