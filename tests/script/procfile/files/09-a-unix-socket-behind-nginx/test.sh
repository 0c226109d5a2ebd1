curl -sSf http://127.0.0.1:8090/
echo "$PROXY_URL"
#> behind the proxy
#> http://127.0.0.1:8090
