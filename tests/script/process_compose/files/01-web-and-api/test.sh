curl -sSf http://127.0.0.1:8102/health
echo "$WEB_URL $API_URL"
#> ok
#> http://127.0.0.1:8102 http://127.0.0.1:8101
