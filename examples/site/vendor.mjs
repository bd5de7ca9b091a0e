#!/usr/bin/env node
// Fetches the three libraries that the pages use (by the lockfile) and copies what the pages load, with licences, to vendor/.
// Run it once after a checkout or an update: `node vendor.mjs`, or `npm run vendor`.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// The copies are named .js, for nginx 1.22 does not know .mjs and would serve it as application/octet-stream.
const FILES = {
  'hls.js': { 'dist/hls.min.mjs': 'hls.js', 'dist/hls.worker.js': 'hls.worker.js', LICENSE: 'hls.LICENSE.txt' },
  plyr: { 'dist/plyr.min.mjs': 'plyr.js', 'dist/plyr.css': 'plyr.css', 'dist/plyr.svg': 'plyr.svg', 'LICENSE.md': 'plyr.LICENSE.txt' },
  // Both are inside plyr.js.
  loadjs: { 'LICENSE.txt': 'loadjs.LICENSE.txt' },
  rangetouch: { 'license.md': 'rangetouch.LICENSE.txt' },
  'lean-qr': { 'index.mjs': 'lean-qr.js', LICENSE: 'lean-qr.LICENSE.txt' },
};

const here = dirname(fileURLToPath(import.meta.url));
execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: here, stdio: 'inherit' });

rmSync(join(here, 'vendor'), { recursive: true, force: true });
mkdirSync(join(here, 'vendor'));
for (const [name, files] of Object.entries(FILES)) {
  const folder = join(here, 'node_modules', name);
  for (const [from, to] of Object.entries(files)) copyFileSync(join(folder, from), join(here, 'vendor', to));
  console.log(`vendor/: ${name} ${JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version}`);
}
