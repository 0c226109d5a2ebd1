// It needs a moment before it listens.
const http = require("http");
setTimeout(() => http.createServer((_, res) => res.end("users: 3")).listen(process.env.PORT, "127.0.0.1"), 500);
