'use strict';
// Returns the visible part of a rectangle inside all ancestors that cut it off; null if there is none.
function visible(rect, element) {
  let { left, top, right, bottom } = rect;
  for (let at = element; at && at !== document.documentElement; at = at.parentElement) {
    const style = getComputedStyle(at);
    if (style.display === 'none' || style.visibility === 'hidden' || style.clipPath !== 'none') return null;
    if (style.overflowX === 'visible' || at instanceof SVGElement) continue;
    const box = at.getBoundingClientRect();
    left = Math.max(left, box.left);
    right = Math.min(right, box.right);
    top = Math.max(top, box.top);
    bottom = Math.min(bottom, box.bottom);
  }
  return right - left > 0.5 && bottom - top > 0.5 ? { left, top, right, bottom } : null;
}
// Returns every piece of text that can be seen, with its rectangle and element.
function texts() {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest('title, script, style')) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const rect of range.getClientRects()) {
      const box = visible(rect, element);
      if (box) found.push({ text: node.data.trim().slice(0, 40), box, element });
    }
  }
  return found;
}
const area = (a, b) => [
  Math.min(a.right, b.right) - Math.max(a.left, b.left),
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top),
];
function channels(color) {
  const numbers = color.match(/[\d.]+/g).map(Number);
  return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1 };
}
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
}
// Returns the colours behind a text.
function grounds({ box, element }) {
  const found = [];
  if (element instanceof SVGElement) {
    const group = element.closest('a, g');
    const rects = group ? [...group.querySelectorAll('rect')] : [];
    for (const rect of rects) {
      const [width, height] = area(box, rect.getBoundingClientRect());
      const fill = getComputedStyle(rect).fill;
      if (width > 0 && height > 0 && fill.startsWith('rgb') && channels(fill).alpha > 0) found.push(channels(fill).rgb);
    }
    const ground = document.querySelector('.after-ground');
    if (rects.some((rect) => getComputedStyle(rect).fill.includes('dots'))) found.push(channels(getComputedStyle(ground).fill).rgb);
  }
  for (let at = element; found.length === 0 && at; at = at.parentElement) {
    const color = channels(getComputedStyle(at).backgroundColor);
    if (color.alpha > 0) found.push(color.rgb);
  }
  return found;
}
function complaints() {
  const found = [];
  const all = texts();
  all.sort((a, b) => a.box.top - b.box.top);
  all.forEach((one, n) => {
    for (const other of all.slice(n + 1)) {
      if (other.box.top > one.box.bottom) break;
      const [width, height] = area(one.box, other.box);
      if (width > 1 && height > 3) found.push(`'${one.text}' covers '${other.text}' by ${width} x ${height}`);
    }
    const style = getComputedStyle(one.element);
    if (parseFloat(style.fontSize) < 11) found.push(`'${one.text}' has ${style.fontSize}`);
    const color = channels(one.element instanceof SVGElement ? style.fill : style.color).rgb;
    for (const ground of grounds(one)) {
      const ratio = contrast(color, ground);
      if (ratio < 4.5) found.push(`'${one.text}': contrast ${ratio}`);
    }
  });
  if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} px wide`);
  const names = [...document.querySelectorAll('.names text')].map((text) => text.getBoundingClientRect());
  const lines = new Set();
  for (const bar of document.querySelectorAll('.plot [aria-label] .box')) lines.add(bar.getBoundingClientRect().top);
  for (const top of lines) {
    if (!names.some((name) => Math.abs((name.top + name.bottom) / 2 - top - 11) < 6 && name.left >= 0 && name.right <= innerWidth)) found.push(`the line at ${top} has no name`);
  }
  const column = document.querySelector('.names').getBoundingClientRect();
  if (names.some((name) => name.left < column.left || name.right > column.right)) found.push('a name of a line is cut off');
  const plot = document.querySelector('.plot').getBoundingClientRect();
  for (const text of document.querySelectorAll('.plot text')) {
    const box = text.getBoundingClientRect();
    if (box.right > plot.right + 1 || box.left < plot.left - 1) found.push(`'${text.textContent}' is not in the plot`);
    const bar = text.parentElement.closest('a.load');
    if (bar && box.right > bar.querySelector('.box').getBoundingClientRect().right) found.push(`'${text.textContent}' is wider than its bar`);
  }
  for (const name of document.querySelectorAll('#modules tbody th')) {
    const range = document.createRange();
    range.selectNodeContents(name);
    const isBroken = new Set([...range.getClientRects()].map((rect) => rect.top)).size > 1;
    if (isBroken && /^[\w-]{1,30}$/.test(name.textContent.replace(/\s◆$/, ''))) found.push(`the name '${name.textContent}' is broken`);
  }
  if (document.title === 'harm') found.push('a script of the record has run');
  return found;
}
