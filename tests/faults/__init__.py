"""What goes wrong in the world, done for real."""
