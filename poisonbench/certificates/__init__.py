"""What is proved about a poisoned learner, beside what was measured."""
