-- The shim runs inside Prosody, whose loader gives every module these.
std = "max"
max_line_length = 120
read_globals = { "prosody" }
globals = { "module" }
files["lua/spec"] = { std = "max+busted" }
