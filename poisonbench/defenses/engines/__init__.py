"""The mathematics that several defenses share: fits, concentration steps, rate searches."""
