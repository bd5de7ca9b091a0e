// What can be told without a browser: that types, handbook, languages and licences say what the code does.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import ts from 'typescript';
import { ALL_VIEWS } from '../../examples/site/paywall-states.js';
import { LANGUAGES } from '../../examples/site/texts.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SITE = join(ROOT, 'examples/site');
const PAGES = readFileSync(join(ROOT, 'docs/pages.md'), 'utf8');
const texts = Object.fromEntries(await Promise.all(Object.entries(LANGUAGES).map(async ([tag, { load }]) => [tag, await load()])));
const own = (name) => readFileSync(join(SITE, name), 'utf8');
const scripts = readdirSync(SITE).filter((it) => it.endsWith('.js'));

const OPTIONS = { allowJs: true, strict: true, noEmit: true, target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.ESNext, lib: ['lib.esnext.d.ts', 'lib.dom.d.ts'], types: [] };

/** How `hlsgate.d.ts` calls parameters that hold options; the code takes these apart where it declares them. */
const OPTION_BAGS = ['details', 'options', 'callbacks'];

/** What a file exports: for each class its members, and for each function its parameters, options by their names. */
function exported(file) {
  const program = ts.createProgram([file], OPTIONS);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(file);
  const inFile = (symbol) => symbol.declarations?.some((it) => [file, ...['store', 'shop'].map((it) => join(SITE, `hlsgate-${it}.js`))].includes(it.getSourceFile().fileName));
  const parameters = (symbol, at) => checker.getTypeOfSymbolAtLocation(symbol, at).getCallSignatures().at(0)?.parameters.map((it) => {
    const { valueDeclaration: declared } = it;
    const names = ts.isObjectBindingPattern(declared.name) ? declared.name.elements.map((option) => (option.propertyName ?? option.name).text)
      : file.endsWith('.d.ts') && OPTION_BAGS.includes(it.name) ? checker.getNonNullableType(checker.getTypeOfSymbolAtLocation(it, at)).getProperties().map(({ name }) => name)
        : null;
    return names ? `{${names.sort()}}` : 'one';
  });
  return Object.fromEntries(checker.getExportsOfModule(checker.getSymbolAtLocation(source)).map((symbol) => {
    const real = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    if (real.flags & ts.SymbolFlags.Class) {
      const members = checker.getDeclaredTypeOfSymbol(real).getProperties().filter((it) => inFile(it) && !it.name.startsWith('#') && it.name !== 'name');
      return [symbol.name, Object.fromEntries(members.map((it) => [it.name, parameters(it, source) ?? 'value']).sort())];
    }
    return real.flags & ts.SymbolFlags.Function ? [symbol.name, parameters(real, source)] : null;
  }).filter(Boolean).sort());
}

/** Complaints of the compiler about a text that stands beside `hlsgate.d.ts`. */
function complaints(text) {
  const folder = mkdtempSync(join(tmpdir(), 'types-'));
  try {
    writeFileSync(join(folder, 'hlsgate.d.ts'), own('hlsgate.d.ts'));
    writeFileSync(join(folder, 'page.ts'), text);
    return ts.getPreEmitDiagnostics(ts.createProgram([join(folder, 'page.ts')], { ...OPTIONS, allowJs: false, moduleDetection: ts.ModuleDetectionKind.Force }))
      .map((it) => ts.flattenDiagnosticMessageText(it.messageText, '\n'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the declared types are those of the module: names, parameters, options', () => {
  const code = exported(join(SITE, 'hlsgate.js'));
  assert.deepEqual(Object.keys(code), ['Hlsgate', 'HlsgateError', 'inspect']);
  assert.deepEqual(exported(join(SITE, 'hlsgate.d.ts')), code);
});

test('the example atop the module, and those of the handbook, are right by the types; a wrong one is not', () => {
  const [, example] = /\n( \*     import [\s\S]*?)\n \*\n/.exec(own('hlsgate.js'));
  const code = example.replaceAll(/^ \* {3,5}/gm, '');
  const page = (text) => `declare const video: HTMLVideoElement; declare function showQr(text: string): void;\n${text}`;
  assert.deepEqual(complaints(page(code.replace('invoice.lightning.uri', 'invoice.lightning!.uri').replace('video.src = (await gate.open(\'c05f2318\')).url', "video.src = (await gate.open('c05f2318')).url!"))), []);
  assert.notDeepEqual(complaints(page(code.replace('.tier)', '.tear)'))), []);
});

test('the handbook names every call of the module, and no other', () => {
  const section = PAGES.slice(PAGES.indexOf('## The module alone'), PAGES.indexOf('## Embeds'));
  const named = [...section.matchAll(/`(\w+)(?:\(|`)/g)].map(([, name]) => name);
  const { Hlsgate: members, HlsgateError: error } = exported(join(SITE, 'hlsgate.js'));
  for (const name of Object.keys(members)) assert.ok(named.includes(name), `docs/pages.md does not name ${name}`);
  const known = new Set([...Object.keys(members), ...Object.keys(error), 'inspect', 'url', 'Hlsgate', 'HlsgateError', 'change']);
  assert.deepEqual(named.filter((it) => !known.has(it)), []);
});

test('the handbook names every part, variable and state of the paywall, and no other', () => {
  const row = (name) => [...new RegExp(`^\\| ${name} \\| (.*) \\|$`, 'm').exec(PAGES)[1].matchAll(/`([\w-]+)`/g)].map(([, it]) => it);
  const views = own('paywall-views.js');
  const markup = ['paywall-views.js', 'hlsgate-paywall.js', 'dom.js'].map(own).join('\n');
  assert.deepEqual(row('parts').sort(), [...new Set([...markup.matchAll(/\bpart: '(\w+)'/g)].map(([, it]) => it))].sort());
  const variables = [...new Set([...own('paywall-style.js').matchAll(/var\((--hlsgate-[\w-]+)/g)].map(([, it]) => it))];
  assert.deepEqual(row('variables').map((it) => (it.startsWith('--') ? it : `--hlsgate${it}`)).sort(), variables.sort());
  const states = [...views.matchAll(/^export const (\w+) = /gm)].map(([, it]) => it);
  assert.deepEqual(states.toSorted?.() ?? [...states].sort(), [...ALL_VIEWS].sort(), 'every state has its view');
  assert.deepEqual(row('states').sort(), states.sort());
});

test('every language has every text, with the same gaps to fill, and every text that is asked for exists', () => {
  const gaps = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [tag, words] of Object.entries(texts)) {
    assert.deepEqual(Object.keys(words).sort(), Object.keys(texts.en).sort(), tag);
    for (const [key, text] of Object.entries(words)) assert.deepEqual(gaps(text), gaps(texts.en[key]), `${tag}: ${key}`);
  }
  const pages = readdirSync(SITE).filter((it) => it.endsWith('.html'));
  const asked = [...scripts.map(own).join('\n').matchAll(/\bt\((?:[\w.]+ \? )?'([\w-]+)'(?: : '([\w-]+)')?/g)].flatMap(([, ...keys]) => keys.filter(Boolean))
    .concat([...pages.map(own).join('\n').matchAll(/data-t(?:-label)?="([\w-]+)"/g)].map(([, key]) => key));
  assert.ok(asked.length > 60);
  assert.deepEqual(asked.filter((key) => !Object.hasOwn(texts.en, key) && !key.endsWith('_')), []);
  // What a page says before its script runs is what the script says in English.
  for (const [, key, text] of pages.map(own).join('\n').matchAll(/data-t="([\w-]+)"[^>]*>([^<]+)</g)) assert.equal(text, texts.en[key], key);
});

test('what the pages load of others comes by the lockfile, with its licence, and is not committed', () => {
  const vendored = readdirSync(join(SITE, 'vendor'));
  const packages = new Set(Object.keys(JSON.parse(own('package-lock.json')).packages).map((it) => it.replace('node_modules/', '')));
  for (const file of vendored) {
    const name = file.replace(/\.(LICENSE\.txt|worker\.js|js|css|svg)$/, '');
    assert.ok(vendored.includes(`${name}.LICENSE.txt`), `${file} has no licence beside it`);
    assert.ok(packages.has(name) || packages.has(`${name}.js`), `${file} is not in the lockfile`);
  }
  assert.ok(['hls.js', 'plyr.js', 'lean-qr.js'].every((it) => vendored.includes(it)));
  assert.equal(execFileSync('git', ['-C', SITE, 'ls-files', 'vendor', 'node_modules'], { encoding: 'utf8' }), '');
});

test('no page and no script holds inline code, inline style, markup made from text, or an address of others', () => {
  for (const file of readdirSync(SITE).filter((it) => /\.(html|js|css|svg)$/.test(it))) {
    const text = own(file).replaceAll('http://www.w3.org/2000/svg', '');
    assert.ok(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(text), file);
    assert.ok(!/https?:\/\/|src="\/\//.test(text), `${file} names another site`);
    if (file.endsWith('.html')) assert.ok(!/<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)/.test(text), file);
  }
});
