-- What every script begins with. KEYS[1] is the tenant's prefix: all other keys are made of it.
local T = KEYS[1]
