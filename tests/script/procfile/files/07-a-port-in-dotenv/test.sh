# As foreman and honcho count from the PORT of `.env`.
curl -sSf "$WEB_URL/.env"
curl -sSf http://127.0.0.1:5700/
echo "$WEB_PORT $ADMIN_PORT"
#> PORT=5600
#> admin
#> 5600 5700
