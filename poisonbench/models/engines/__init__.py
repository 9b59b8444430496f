"""The mathematics that the learners share."""
