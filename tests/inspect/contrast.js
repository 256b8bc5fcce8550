// Each text that is on the screen, and the nearest ground behind it that isn't transparent: less than 4.5 is too little.
const channels = (color) => color.match(/[\d.]+/g).map(Number);
const linear = (channel) => (channel / 255 <= 0.04045 ? channel / 255 / 12.92 : ((channel / 255 + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const low = [];
for (const one of document.querySelectorAll('body *')) {
  const own = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== '');
  if (!own || one.getClientRects().length === 0 || one.closest('.unseen')) continue;
  let behind = one;
  while (behind.parentElement && channels(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const [front, ground] = [getComputedStyle(one).color, getComputedStyle(behind).backgroundColor];
  const [a, b] = [light(channels(front)), light(channels(ground))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) low.push(`${one.textContent.slice(0, 40)}: ${front} on ${ground} is ${ratio.toFixed(2)}`);
}
return low;
