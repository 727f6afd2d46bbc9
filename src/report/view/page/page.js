'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (query) => [...document.querySelectorAll(query)];
  const plot = document.querySelector('.plot');
  const scroll = document.querySelector('.scroll');
  const details = byId('details');
  const bars = all('.plot [aria-label]');
  const loads = all('.plot .load');
  const rows = all('#modules tbody tr');
  const rowOf = (bar) => byId((bar.getAttribute('href') || '#').slice(1));

  // Details of the bar under the pointer, or with the focus.
  const idle = 'Point at a bar of the chart, or go to it by keyboard, to see its details here.';
  let picked = null;
  const show = (bar) => {
    if (picked) picked.classList.remove('picked');
    picked = bar && rowOf(bar);
    if (picked) picked.classList.add('picked');
    details.textContent = bar ? bar.querySelector('title').textContent : idle;
  };
  const barOf = (event) => event.target.closest && event.target.closest('.plot [aria-label]');
  plot.addEventListener('mouseover', (event) => { if (barOf(event)) show(barOf(event)); });
  plot.addEventListener('focusin', (event) => { if (barOf(event)) show(barOf(event)); });

  // Arrow keys: along a line, and to the nearest bar of the line above or below.
  const box = (bar) => bar.querySelector('.box').getBoundingClientRect();
  const middle = (rect) => (rect.left + rect.right) / 2;
  const step = (bar, key) => {
    const own = box(bar);
    if (key === 'ArrowRight' || key === 'ArrowLeft') {
      const line = bars.filter((other) => Math.abs(box(other).top - own.top) < 4);
      return line[line.indexOf(bar) + (key === 'ArrowRight' ? 1 : -1)];
    }
    const beyond = (rect) => key === 'ArrowDown' ? rect.top - own.top : own.top - rect.top;
    const others = bars.map((other) => [other, box(other)]).filter(([, rect]) => beyond(rect) >= 4);
    const nearest = Math.min(...others.map(([, rect]) => beyond(rect)));
    const line = others.filter(([, rect]) => beyond(rect) < nearest + 4);
    const away = ([, rect]) => Math.abs(middle(rect) - middle(own));
    line.sort((a, b) => away(a) - away(b));
    return line.length ? line[0][0] : undefined;
  };
  plot.addEventListener('keydown', (event) => {
    const bar = barOf(event);
    if (!bar || !event.key.startsWith('Arrow')) return;
    event.preventDefault();
    const next = step(bar, event.key);
    if (next) next.focus();
  });

  // Zoom: bars are placed in percent, so a wider plot is all that it takes; then more names fit.
  let zoom = 1;
  const names = () => {
    for (const load of loads) {
      const rect = load.querySelector('.box');
      const width = rect.getBoundingClientRect().width;
      let text = load.querySelector('text');
      if (text && !text.dataset.added) continue;
      const name = load.getAttribute('aria-label').split(': ')[0];
      if (!text && width > name.length * 8.5 + 10) {
        text = document.createElementNS('http://www.w3.org/2000/svg', 'text');
        text.textContent = name;
        text.dataset.added = '1';
        text.setAttribute('x', rect.getAttribute('x'));
        text.setAttribute('dx', '5');
        text.setAttribute('y', String(Number(rect.getAttribute('y')) + 15));
        load.append(text);
        if (text.getBoundingClientRect().width > width - 8) text.remove();
      } else if (text && text.getBoundingClientRect().width > width - 8) {
        text.remove();
      }
    }
  };
  const zoomTo = (factor, x) => {
    const before = plot.getBoundingClientRect();
    const place = (x - before.left) / before.width;
    zoom = Math.min(64, Math.max(1, factor));
    plot.style.width = 100 * zoom + '%';
    plot.style.minWidth = 900 * zoom + 'px';
    const after = plot.getBoundingClientRect();
    scroll.scrollLeft += after.left + place * after.width - x;
    names();
  };
  const focused = () => {
    const bar = document.activeElement && document.activeElement.closest('.plot [aria-label]');
    const rect = (bar || scroll).getBoundingClientRect();
    return middle(rect);
  };
  byId('in').addEventListener('click', () => zoomTo(zoom * 2, focused()));
  byId('out').addEventListener('click', () => zoomTo(zoom / 2, focused()));
  byId('fit').addEventListener('click', () => zoomTo(1, focused()));
  scroll.addEventListener('wheel', (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomTo(zoom * (event.deltaY < 0 ? 1.25 : 0.8), event.clientX);
  }, { passive: false });
  scroll.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === '+' || event.key === '=') zoomTo(zoom * 2, focused());
    else if (event.key === '-') zoomTo(zoom / 2, focused());
    else if (event.key === '0') zoomTo(1, focused());
  });
  window.addEventListener('resize', names);

  // Search in the names, devices and aliases of the modules.
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const search = () => {
    const word = byId('search').value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !texts.get(row).includes(word);
      count += row.hidden ? 0 : 1;
    }
    for (const bar of bars) {
      const row = rowOf(bar);
      bar.classList.toggle('dim', word !== '' && (!row || row.hidden));
    }
    byId('found').textContent = word === '' ? '' : count + ' of ' + rows.length;
  };
  byId('search').addEventListener('input', search);

  document.querySelector('.controls').hidden = false;
  details.hidden = false;
  show(null);
  names();
})();
