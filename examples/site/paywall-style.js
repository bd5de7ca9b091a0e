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
  display: block;
  color: var(--_text);
  font: inherit;
  line-height: 1.45;
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
  background: var(--_background);
  border: 1px solid var(--_line);
  border-radius: var(--_radius);
  padding: clamp(1rem, 4%, 1.5rem);
  min-block-size: var(--hlsgate-min-height, 19rem);
  container-type: inline-size;
}
.view { display: flex; flex-direction: column; gap: 0.85rem; position: relative; }
.view[aria-busy] { pointer-events: none; }
.view[aria-busy]::after { content: ""; position: absolute; inset-block-start: 0.15rem; inset-inline-start: 0.2rem; box-sizing: border-box; inline-size: 1.3rem; block-size: 1.3rem; border-width: 3px; }
.view[aria-busy] h2 .icon { visibility: hidden; }
.hidden { position: absolute; inline-size: 1px; block-size: 1px; padding: 0; border: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
h2 { display: flex; align-items: center; gap: 0.5rem; margin: 0; font-size: 1.3rem; line-height: 1.25; text-wrap: balance; }
h2:focus { outline: none; }
p { margin: 0; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 0.6rem; grid-template-columns: minmax(0, 1fr); }
.icon { inline-size: 1.3em; block-size: 1.3em; flex: none; }
:host([state=open]) h2 .icon { color: var(--_good); }
:host([state=trouble]) h2 .icon, :host([state=invalid]) h2 .icon, :host([state=short]) h2 .icon { color: var(--_warn); }
.note { color: var(--_muted); font-size: 0.92rem; }
.note:has(.icon) { display: flex; gap: 0.5rem; }
.alert { display: flex; gap: 0.5rem; color: var(--_warn); border-inline-start: 3px solid currentColor; padding-inline-start: 0.75rem; }
.notice { color: var(--_warn); font-size: 0.92rem; }
.notice:empty, .told:empty { display: none; }
.told { font-size: 0.92rem; color: var(--_muted); }
code { overflow-wrap: anywhere; }
a { color: var(--_link); text-underline-offset: 0.2em; }
button, .button {
  font: inherit; font-weight: 600; color: var(--_text); background: transparent;
  border: 1px solid var(--_muted); border-radius: calc(var(--_radius) * 0.7);
  min-block-size: 2.9rem; padding: 0.5rem 0.9rem; inline-size: 100%; cursor: pointer; text-decoration: none;
  display: flex; align-items: center; justify-content: center; gap: 0.5rem; text-align: center;
  transition: background-color 120ms, border-color 120ms;
}
button:hover, .button:hover { border-color: var(--_text); background: color-mix(in srgb, var(--_text) 7%, transparent); }
button:disabled { opacity: 0.6; cursor: default; }
:is(button, a):focus-visible { outline: 3px solid var(--_link); outline-offset: 2px; }
.primary, .primary:hover { background: var(--_accent); border-color: var(--_accent); color: var(--_on-accent); }
.primary:hover { background: color-mix(in srgb, var(--_accent) 86%, #ffffff); }
.quiet { border-color: transparent; color: var(--_muted); font-weight: 500; }
.offer { justify-content: space-between; text-align: start; padding: 0.75rem 1rem; }
@container (max-width: 17rem) { .offer { padding-inline: 0.7rem; } .offer .price { padding-inline: 0.55rem; } }
.offer .what { display: grid; gap: 0.1rem; }
.offer strong { font-size: 1.05rem; }
.offer small { color: var(--_muted); font-size: 0.88rem; font-weight: 400; }
.offer .price { background: var(--_accent); color: var(--_on-accent); border-radius: 99px; padding: 0.3rem 0.8rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
.alert.calm { color: inherit; border-color: var(--_accent); }
.alert.calm > div { display: grid; gap: 0.6rem; flex: 1; min-inline-size: 0; }
.alert p { overflow-wrap: anywhere; }
.summary { display: flex; justify-content: space-between; align-items: center; gap: 0.8rem; border-block: 1px solid var(--_line); padding-block: 0.55rem; }
.summary .what { display: grid; }
.summary small { color: var(--_muted); font-size: 0.88rem; }
.summary .price { font-weight: 650; white-space: nowrap; font-variant-numeric: tabular-nums; }
.rail { list-style: none; margin: 0; padding: 0; display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 0.4rem; font-size: 0.82rem; color: var(--_muted); }
.rail li { border-block-start: 3px solid var(--_line); padding-block-start: 0.35rem; }
.rail .done { border-color: var(--_good); }
.rail .now { border-color: var(--_accent); color: var(--_text); font-weight: 600; }
.ways { display: flex; flex-wrap: wrap; gap: 0.3rem; padding: 0.25rem; border-radius: calc(var(--_radius) * 0.8); background: color-mix(in srgb, var(--_text) 7%, transparent); }
.way { flex: 1 1 auto; inline-size: auto; min-block-size: 2.4rem; padding: 0.25rem 0.6rem; border-color: transparent; font-weight: 500; }
.way[aria-pressed=true], .way[aria-pressed=true]:hover { background: var(--_background); border-color: var(--_muted); font-weight: 650; }
.exact { display: flex; flex-wrap: wrap; justify-content: center; gap: 0.2rem 0.6rem; font-variant-numeric: tabular-nums; }
.copy.small button { min-block-size: 2rem; padding: 0.15rem 0.5rem; inline-size: auto; border-color: transparent; font-weight: 600; }
.copy.small .icon { inline-size: 1.05em; color: var(--_muted); }
.destination { text-align: center; font-size: 0.85rem; color: var(--_muted); }
.destination code { font-family: ui-monospace, monospace; }
summary { cursor: pointer; padding-block: 0.6rem; color: var(--_link); }
.fold .qr { margin-block: 0.4rem; }
.qr {
  display: block; block-size: auto; margin-inline: auto; border-radius: 8px;
  inline-size: min(100%, var(--hlsgate-qr-size, 23rem));
  inline-size: round(down, min(100%, var(--hlsgate-qr-size, 23rem)), var(--side));
}
.countdown { display: flex; align-items: center; justify-content: center; gap: 0.35rem; color: var(--_muted); font-variant-numeric: tabular-nums; }
.actions { display: grid; gap: 0.6rem; }
@container (min-width: 30rem) { .actions { grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); } }
.copy { display: block; position: relative; }
.copy button { block-size: 100%; }
.skeleton { display: grid; gap: 0.85rem; }
.skeleton i { block-size: 3.6rem; border-radius: calc(var(--_radius) * 0.7); background: color-mix(in srgb, var(--_text) 9%, transparent); }
.skeleton i:first-child { block-size: 1.6rem; inline-size: 70%; }
.pulse { margin: 0.6rem auto; inline-size: 3.2rem; block-size: 3.2rem; border-width: 4px; }
.pulse, .view[aria-busy]::after { border-style: solid; border-color: var(--_accent) var(--_line) var(--_line); border-radius: 50%; }
@media (prefers-reduced-motion: no-preference) {
  .pulse, .view[aria-busy]::after { animation: turn 1.1s linear infinite; }
  @keyframes turn { to { rotate: 360deg; } }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media (forced-colors: active) { .offer .price, .primary { border: 1px solid; } .way[aria-pressed=true], .rail .now { border-color: Highlight; } }
`;
