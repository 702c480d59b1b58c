"""`payments demo`: the life of one payment, on a whole service that is gone at the end."""
