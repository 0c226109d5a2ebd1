// What begins with /api goes to the server that $API_URL names.
export default { server: { host: "127.0.0.1", proxy: { "/api": process.env.API_URL } } };
