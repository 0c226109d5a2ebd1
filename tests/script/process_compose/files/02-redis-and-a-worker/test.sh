#@ stderr: `liveness_probe` (redis)
redis-cli -p 6401 LPUSH todo a >/dev/null
until [ "$(redis-cli -p 6401 LLEN done)" = 1 ]; do sleep 0.1; done
redis-cli -p 6401 LRANGE done 0 -1
#> a
