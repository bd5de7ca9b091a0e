/** The one gate that the pages and the paywall share. A site with other paths than the default ones says so here. */

import { Hlsgate } from './hlsgate.js';

export const gate = new Hlsgate({
  shop: '/hlsgate/',
  media: '/hls/{video}/', // `media` of hlsgate.toml
  playlist: 'master.m3u8',
});
