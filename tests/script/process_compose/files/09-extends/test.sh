#@ stderr: process-compose.override.yaml is merged into it, as process-compose does
#@ stderr: process-compose.yaml:6: `disabled` (mailer): is not started
curl -sSf http://127.0.0.1:8111/
cat seen.txt
#> the site of both
#> watching yes
