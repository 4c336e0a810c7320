"""`coinslot payments`: a seller's books and back office, from a shell."""
