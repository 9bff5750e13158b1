"""What other documents claim, as it is printed there, with what contradicts it."""
