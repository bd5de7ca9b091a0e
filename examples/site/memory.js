/** What a browser remembers of how a viewer likes to watch. Where it keeps nothing, nothing is remembered. */

export function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Full, or forbidden: it can be done without.
  }
}

const PLACE = 'hlsgate:place:';
/** Seconds at either end of a film where going on would be no help. */
const EDGE = 5;

/** Where a viewer was in a film, in seconds; 0 at its beginning and once it was seen to its end. */
export const placeIn = (video) => Number(stored(PLACE + video)) || 0;

export function keepPlace(video, at, length) {
  const place = at < EDGE || (length > 0 && at > length - EDGE) ? 0 : Math.floor(at);
  if (place !== placeIn(video)) store(PLACE + video, place);
}
