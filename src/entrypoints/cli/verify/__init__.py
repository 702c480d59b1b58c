"""`payments verify`: what is wrong, and the cure."""
