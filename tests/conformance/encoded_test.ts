/** Encoded and partial content passes as it is. */
