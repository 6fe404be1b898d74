/** Requests that follow each other without waiting. */
