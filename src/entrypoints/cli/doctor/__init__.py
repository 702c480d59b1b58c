"""`payments doctor`: what is wrong, and the cure."""
