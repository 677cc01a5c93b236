"""Who is active and why: what was seen of a pair, turned into one word, its causes and a remedy. Pure."""
