/** Small helpers that draw: elements, icons, QR codes. No markup is ever made from text, so no text can become markup. */

const SVG = 'http://www.w3.org/2000/svg';
/** Empty modules around a QR code, so that readers find its edge (ISO/IEC 18004). */
const QUIET_ZONE = 4;

/** `h('button', { type: 'button', onclick }, 'Buy')`: an element. Functions are listeners, null and false are left out. */
export function h(name, attributes = {}, ...children) {
  return dress(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return dress(document.createElementNS(SVG, name), attributes, children);
}

function dress(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Stroke paths on a 24 × 24 grid. */
const ICONS = {
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 14.5v2.5',
  check: 'm5 12.5 4.5 4.5L19 7.5',
  bolt: 'M13 3 5 13.5h6L10.5 21 19 10.5h-6z',
  copy: 'M9 9h10v11H9zM15 9V5H5v11h4',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v4.5l3 2',
  warn: 'M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.3',
  play: 'M8 5.5v13l11-6.5z',
  down: 'M12 4v11M7.5 10.5 12 15l4.5-4.5M5 19.5h14',
};

export function icon(name) {
  return svg('svg', { viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true', focusable: 'false' },
    svg('path', { d: ICONS[name], fill: 'none', stroke: 'currentColor', 'stroke-width': '2', 'stroke-linecap': 'round', 'stroke-linejoin': 'round' }));
}

let library;
/** Loads what draws QR codes, which no page needs before somebody buys. */
export function loadQr() {
  library ??= import('./vendor/lean-qr.js');
  return library;
}

/** A QR code of `text`, dark on white whatever the theme, since many readers know nothing else. Its class is `qr` once it is drawn. */
export function qrCode(text, label) {
  const picture = svg('svg', { role: 'img', 'aria-label': label, class: 'code', part: 'qr', viewBox: '0 0 1 1', 'shape-rendering': 'crispEdges' });
  loadQr().then(({ generate }) => drawQr(picture, generate(text)));
  return picture;
}

function drawQr(picture, code) {
  const side = code.size + 2 * QUIET_ZONE;
  let path = '';
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) {
      if (code.get(x, y)) path += `M${x + QUIET_ZONE} ${y + QUIET_ZONE}h1v1h-1z`;
    }
  }
  picture.setAttribute('viewBox', `0 0 ${side} ${side}`);
  picture.append(svg('path', { d: `M0 0h${side}v${side}H0z`, fill: '#fff' }), svg('path', { d: path, fill: '#000' }));
  // The style sheets make every module the same whole number of the screen's pixels: uneven ones are hard to read.
  picture.style.setProperty('--side', `${side / (globalThis.devicePixelRatio || 1)}px`);
  picture.setAttribute('class', 'code qr');
}

/** Puts text on the clipboard; where the browser forbids it, selects it in `field` for the viewer's own Ctrl-C. */
export async function copyText(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field?.focus();
    field?.select();
    return Boolean(field) && document.execCommand('copy');
  }
}
