/** All faults, one after the other: see README.md beside this file. */
