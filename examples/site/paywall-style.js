/** The paywall's looks. A page sets the variables on `hlsgate-paywall`, or styles `::part(…)`; `docs/pages.md` lists both. */

export const style = `
:host {
  --_background: var(--hlsgate-background, #ffffff);
  --_text: var(--hlsgate-text, #16181d);
  --_muted: var(--hlsgate-muted, #555b66);
  --_line: var(--hlsgate-line, #d5d8de);
  --_accent: var(--hlsgate-accent, #f7a823);
  --_on-accent: var(--hlsgate-on-accent, #1b1203);
  --_link: var(--hlsgate-link, #7c4300);
  --_good: var(--hlsgate-good, #14703c);
  --_warn: var(--hlsgate-warn, #a32a13);
  --_radius: var(--hlsgate-radius, 14px);
  --_rem: var(--hlsgate-font-size, 16px); /* \`rem\` would be the host's */
  display: block;
  flex: 1 1 calc(20 * var(--_rem)); /* in a row of the host's it would be as wide as its narrowest word */
  min-inline-size: min(100%, calc(15 * var(--_rem)));
}
@media (prefers-color-scheme: dark) {
  :host {
    --_background: var(--hlsgate-background, #181b22);
    --_text: var(--hlsgate-text, #eceef2);
    --_muted: var(--hlsgate-muted, #a9afbb);
    --_line: var(--hlsgate-line, #353a45);
    --_link: var(--hlsgate-link, #ffc566);
    --_good: var(--hlsgate-good, #6fdc9a);
    --_warn: var(--hlsgate-warn, #ff9d85);
  }
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
.card {
  /* Whatever the page around it says of its own words: only its family of letters is taken over. */
  font-size: var(--_rem);
  font-style: normal; font-weight: 400; font-variant: normal; line-height: 1.45; letter-spacing: normal; word-spacing: normal; text-transform: none;
  text-align: start; text-indent: 0; text-shadow: none; white-space: normal; cursor: auto; visibility: visible;
  color: var(--_text);
  background: var(--_background);
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
  padding: clamp(calc(1 * var(--_rem)), 4%, calc(1.5 * var(--_rem)));
  min-block-size: var(--hlsgate-min-height, calc(19 * var(--_rem)));
  container-type: inline-size;
}
.view { display: flex; flex-direction: column; gap: calc(0.85 * var(--_rem)); position: relative; }
.view[aria-busy] { pointer-events: none; }
.view[aria-busy]::after { content: ""; position: absolute; inset-block-start: calc(0.15 * var(--_rem)); inset-inline-start: calc(0.2 * var(--_rem)); box-sizing: border-box; inline-size: calc(1.3 * var(--_rem)); block-size: calc(1.3 * var(--_rem)); border-width: 3px; }
.view[aria-busy] h2 .icon { visibility: hidden; }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; padding: 0; border: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
h2 { display: flex; align-items: center; gap: calc(0.5 * var(--_rem)); margin: 0; font-size: calc(1.3 * var(--_rem)); line-height: 1.25; text-wrap: balance; }
h2:focus { outline: none; }
p { margin: 0; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: calc(0.6 * var(--_rem)); grid-template-columns: minmax(0, 1fr); }
.icon { inline-size: 1.3em; block-size: 1.3em; flex: none; }
:host([state=open]) h2 .icon { color: var(--_good); }
:host([state=trouble]) h2 .icon, :host([state=invalid]) h2 .icon, :host([state=short]) h2 .icon { color: var(--_warn); }
.note { color: var(--_muted); font-size: calc(0.92 * var(--_rem)); }
.note:has(.icon) { display: flex; gap: calc(0.5 * var(--_rem)); }
.alert { display: flex; gap: calc(0.5 * var(--_rem)); color: var(--_warn); border-inline-start: 3px solid currentColor; padding-inline-start: calc(0.75 * var(--_rem)); }
.notice { color: var(--_warn); font-size: calc(0.92 * var(--_rem)); }
.notice:empty, .told:empty { display: none; }
.told { font-size: calc(0.92 * var(--_rem)); color: var(--_muted); }
code { overflow-wrap: anywhere; }
a { color: var(--_link); text-underline-offset: 0.2em; }
button, .button {
  font: inherit; font-weight: 600; color: var(--_text); background: transparent;
  border: 1px solid var(--_muted); border-radius: calc(var(--_radius) * 0.7);
  min-block-size: calc(2.9 * var(--_rem)); padding: calc(0.5 * var(--_rem)) calc(0.9 * var(--_rem)); inline-size: 100%; cursor: pointer; text-decoration: none;
  display: flex; align-items: center; justify-content: center; gap: calc(0.5 * var(--_rem)); text-align: center;
  transition: background-color 120ms, border-color 120ms;
}
button:hover, .button:hover { border-color: var(--_text); background: color-mix(in srgb, var(--_text) 7%, transparent); }
button:disabled { opacity: 0.6; cursor: default; }
:is(button, a, summary, input):focus-visible { outline: 3px solid var(--_link); outline-offset: 2px; }
.primary, .primary:hover { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
.primary:hover { background: color-mix(in srgb, var(--_accent) 86%, #ffffff); }
.quiet { border-color: transparent; color: var(--_muted); font-weight: 500; }
.offer { justify-content: space-between; text-align: start; padding: calc(0.75 * var(--_rem)) calc(1 * var(--_rem)); }
@container (max-width: 272px) { .offer { padding-inline: calc(0.7 * var(--_rem)); } .offer .price { padding-inline: calc(0.55 * var(--_rem)); } }
.offer .what { display: grid; gap: calc(0.1 * var(--_rem)); }
.offer strong { font-size: calc(1.05 * var(--_rem)); }
.offer small { color: var(--_muted); font-size: calc(0.88 * var(--_rem)); font-weight: 400; }
.offer .price { background: var(--_accent); color: var(--_on-accent); border-radius: 99px; padding: calc(0.3 * var(--_rem)) calc(0.8 * var(--_rem)); white-space: nowrap; font-variant-numeric: tabular-nums; }
.contact[hidden] { display: none; }
.contact { overflow-wrap: anywhere; }
.alert.calm { color: inherit; border-color: var(--_accent); }
.alert.calm > div { display: grid; gap: calc(0.6 * var(--_rem)); flex: 1; min-inline-size: 0; }
.alert p { overflow-wrap: anywhere; }
.summary { display: flex; justify-content: space-between; align-items: center; gap: calc(0.8 * var(--_rem)); border-block: 1px solid var(--_line); padding-block: calc(0.55 * var(--_rem)); }
.summary .what { display: grid; }
.summary small { color: var(--_muted); font-size: calc(0.88 * var(--_rem)); }
.summary .price { font-weight: 650; white-space: nowrap; font-variant-numeric: tabular-nums; }
.rail { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: calc(0.4 * var(--_rem)); font-size: calc(0.82 * var(--_rem)); color: var(--_muted); }
.rail li { border-block-start: 3px solid var(--_line); padding-block-start: calc(0.35 * var(--_rem)); }
.rail .done { border-color: var(--_good); }
.rail .now { border-color: var(--_accent); color: var(--_text); font-weight: 600; }
.ways { display: flex; flex-wrap: wrap; gap: calc(0.3 * var(--_rem)); padding: calc(0.25 * var(--_rem)); border-radius: calc(var(--_radius) * 0.8); background: color-mix(in srgb, var(--_text) 7%, transparent); }
.way { flex: 1 1 auto; inline-size: auto; min-block-size: calc(2.4 * var(--_rem)); padding: calc(0.25 * var(--_rem)) calc(0.6 * var(--_rem)); border-color: transparent; font-weight: 500; }
.way[aria-pressed=true], .way[aria-pressed=true]:hover { background: var(--_background); border-color: var(--_muted); font-weight: 650; }
.exact { display: flex; flex-wrap: wrap; justify-content: center; gap: calc(0.2 * var(--_rem)) calc(0.6 * var(--_rem)); font-variant-numeric: tabular-nums; }
.copy.small button { min-block-size: calc(2 * var(--_rem)); padding: calc(0.15 * var(--_rem)) calc(0.5 * var(--_rem)); inline-size: auto; border-color: transparent; font-weight: 600; }
.copy.small .icon { inline-size: 1.05em; color: var(--_muted); }
.destination { text-align: center; font-size: calc(0.85 * var(--_rem)); color: var(--_muted); }
.destination code { font-family: ui-monospace, monospace; }
summary { cursor: pointer; padding-block: calc(0.6 * var(--_rem)); color: var(--_link); }
.restore { display: grid; gap: calc(0.5 * var(--_rem)); padding-block-end: calc(0.6 * var(--_rem)); }
input { font: inherit; color: inherit; background: transparent; border: 1px solid var(--_muted); border-radius: calc(var(--_radius) * 0.7); min-block-size: calc(2.6 * var(--_rem)); padding: calc(0.3 * var(--_rem)) calc(0.7 * var(--_rem)); inline-size: 100%; min-inline-size: 0; }
.fold .code { margin-block: calc(0.4 * var(--_rem)); }
.code {
  display: block; block-size: auto; margin-inline: auto; border-radius: 8px;
  inline-size: min(100%, var(--hlsgate-qr-size, calc(23 * var(--_rem))));
  inline-size: round(down, min(100%, var(--hlsgate-qr-size, calc(23 * var(--_rem)))), var(--side));
}
.countdown { display: flex; align-items: center; justify-content: center; gap: calc(0.35 * var(--_rem)); color: var(--_muted); font-variant-numeric: tabular-nums; }
.actions { display: grid; gap: calc(0.6 * var(--_rem)); }
@container (min-width: 480px) { .actions { grid-template-columns: repeat(auto-fit, minmax(12em, 1fr)); } }
.copy { display: block; position: relative; }
.copy button { block-size: 100%; }
.skeleton { display: grid; gap: calc(0.85 * var(--_rem)); }
.skeleton i { block-size: calc(3.6 * var(--_rem)); border-radius: calc(var(--_radius) * 0.7); background: color-mix(in srgb, var(--_text) 9%, transparent); }
.skeleton i:first-child { block-size: calc(1.6 * var(--_rem)); inline-size: 70%; }
.pulse { margin: calc(0.6 * var(--_rem)) auto; inline-size: calc(3.2 * var(--_rem)); block-size: calc(3.2 * var(--_rem)); border-width: 4px; }
.pulse, .view[aria-busy]::after { border-style: solid; border-color: var(--_accent) var(--_line) var(--_line); border-radius: 50%; }
@media (prefers-reduced-motion: no-preference) {
  .pulse, .view[aria-busy]::after { animation: turn 1.1s linear infinite; }
  @keyframes turn { to { rotate: 360deg; } }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (forced-colors: active) { .offer .price, .primary { border: 1px solid; } .way[aria-pressed=true], .rail .now { border-color: Highlight; } }
`;
