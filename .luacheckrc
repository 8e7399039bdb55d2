-- The shim runs inside Prosody, whose loader gives every module these. Line lengths as in Prosody's own tree.
std = "max"
max_line_length = 150
read_globals = { "prosody" }
globals = { "module" }
files["lua/spec"] = { std = "max+busted" }
