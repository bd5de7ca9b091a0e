/** `videos.json`: what the site says about its videos. Its format is in `docs/pages.md`. */

/** All entries; none if the file is missing, which a new site's is. Throws if it cannot be had or read. */
export async function allVideos() {
  const answer = await fetch('/videos.json', { cache: 'no-cache' });
  if (answer.status === 404) return [];
  if (!answer.ok) throw new Error(`videos.json: status ${answer.status}`);
  const { videos } = await answer.json();
  return videos.filter((it) => typeof it?.id === 'string').map((it) => ({ ...it, title: String(it.title ?? it.id), duration: Number(it.duration) > 0 ? Number(it.duration) : null }));
}

/** One entry, or undefined: a video can be sold and watched without being listed. */
export async function findVideo(id) {
  const videos = await allVideos().catch(() => []);
  return videos.find((it) => it.id === id);
}

export const watchPage = (id) => `watch.html?v=${encodeURIComponent(id)}`;
