// The common way to do this job: a middleware checks the token, express.static serves the file.
// Usage: server.js PORT FOLDER, with the key in hex in BENCH_KEY.
const [port, folder] = process.argv.slice(2);
// A key object, for jsonwebtoken tries to read mere bytes as a public key first, at every request.
const key = require("node:crypto").createSecretKey(process.env.BENCH_KEY, "hex");
const express = require("express");
const cookies = require("cookie-parser");
const jwt = require("jsonwebtoken");

const app = express();
app.use(cookies());
app.use("/hls/:video/", (request, response, next) => {
  try {
    const claims = jwt.verify(request.cookies.hlsgate ?? "", key, { algorithms: ["HS256"] });
    if (claims.sub === request.params.video) return next();
  } catch {}
  response.sendStatus(403);
});
app.use(express.static(folder));
app.listen(Number(port), "127.0.0.1");
