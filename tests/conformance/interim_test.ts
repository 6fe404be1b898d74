/** Informational answers, and `Expect`. */
