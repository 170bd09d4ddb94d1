// Run inside a report's page by test_browser.py; each function returns what is wrong, as texts.

// Text that overlaps other text of its figure, or that its figure cuts off.
function cutText() {
  return [...document.querySelectorAll('figure svg')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    const name = svg.closest('figure').getAttribute('aria-labelledby');
    const texts = [...svg.querySelectorAll('text')]
      .map(text => [text.textContent, text.getBoundingClientRect()]);
    const cut = texts
      .filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1)
      .map(([text]) => `${name} cuts ${text}`);
    // The boxes are those of the lines, higher than the letters.
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
      && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2.5;
    const over = texts.flatMap(([text, box], i) => texts.slice(i + 1)
      .filter(([, other]) => meet(box, other))
      .map(([other]) => `${name} writes ${text} over ${other}`));
    return [...cut, ...over];
  });
}

// Tables that reach beyond what they stand in; on a screen they scroll there.
function wideTables() {
  return [...document.querySelectorAll('table')].filter(table => table.checkVisibility())
    .filter(table => table.getBoundingClientRect().right
      > table.parentElement.getBoundingClientRect().right + 1)
    .map(table => table.caption.textContent);
}

// Text whose contrast with what lies behind it is below WCAG 2.2's criterion 1.4.3 (AA).
function lowContrast() {
  const parse = colour => {
    const parts = colour.match(/[\d.]+/g).map(Number);
    return parts.length < 4 ? [...parts, 1] : parts;
  };
  const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) =>
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => {
    for (; element; element = element.parentElement) {
      const colour = parse(getComputedStyle(element).backgroundColor);
      if (colour[3] > 0.99) return colour;
    }
    return [255, 255, 255, 1];  // paper
  };
  const found = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; node = walk.nextNode();) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest('.hidden, .skip')) continue;
    const style = getComputedStyle(element);
    const svg = element.closest('svg');
    const ink = parse(svg ? style.fill : style.color);
    const page = behind(svg ? svg.parentElement : element);
    const [a, b] = [luminance(ink), luminance(page)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.add(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return [...found];
}
