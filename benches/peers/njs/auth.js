// The same question answered inside nginx: HS256, exp and sub of the token in the cookie. The key is in hex in $bench_key.
import crypto from "crypto";

function check(r) {
    const token = (r.headersIn.Cookie || "").split("; ").find((pair) => pair.startsWith("hlsgate="));
    const parts = token ? token.slice("hlsgate=".length).split(".") : [];
    if (parts.length !== 3) {
        return r.return(401);
    }
    const tag = crypto.createHmac("sha256", Buffer.from(r.variables.bench_key, "hex"))
        .update(`${parts[0]}.${parts[1]}`).digest("base64url");
    if (tag !== parts[2]) {
        return r.return(403);
    }
    const claims = JSON.parse(Buffer.from(parts[1], "base64url").toString());
    const opens = claims.sub === r.variables.bench_video && (!claims.exp || Date.now() / 1000 < claims.exp);
    r.return(opens ? 204 : 401);
}

export default { check };
