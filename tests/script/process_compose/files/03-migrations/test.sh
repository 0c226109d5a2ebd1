redis-cli -p 6402 GET user-of-schema-3
#> ada
