// Measures a page as its reader meets it. Lengths are CSS pixels; frames have a tolerance of one.
() => {
  const root = document.documentElement;
  const clean = (text) => text.replace(/\s+/g, " ").trim();

  // Why a box of this element is not seen whole, or "". scrolls: a reader may scroll a frame that
  // the keyboard reaches.
  const hidden = (element, box, scrolls) => {
    const kinds = { opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true };
    if (!element.checkVisibility(kinds)) return "invisible";
    if (box.width < 1 || box.height < 1) return "without a size";
    for (let frame = element; frame !== root; frame = frame.parentElement) {
      const { overflowX, overflowY, display } = getComputedStyle(frame);
      if (display === "inline") continue;
      const edge = frame.getBoundingClientRect();
      const ways = [];
      if (box.left < edge.left - 1 || box.right > edge.right + 1) ways.push(overflowX);
      if (box.top < edge.top - 1 || box.bottom > edge.bottom + 1) ways.push(overflowY);
      const stops = ways.filter((way) => way !== "visible");
      if (!stops.length) continue;
      if (!scrolls || frame.tabIndex < 0 || stops.some((way) => way === "hidden" || way === "clip"))
        return `clipped by <${frame.localName}>`;
      box = edge;
    }
    const outside = box.left + scrollX < -1 || box.right + scrollX > innerWidth + 1;
    return outside ? "outside of the page" : "";
  };

  // The box of a cell with the content that runs out of it; without a size if the content is.
  const whole = (cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell);
    const [box, inner] = [cell.getBoundingClientRect(), range.getBoundingClientRect()];
    if (!inner.width) return inner;
    const [left, top] = [Math.min(box.left, inner.left), Math.min(box.top, inner.top)];
    const [right, bottom] = [Math.max(box.right, inner.right), Math.max(box.bottom, inner.bottom)];
    return new DOMRect(left, top, right - left, bottom - top);
  };

  // An ellipsis within the cell; a box of one pixel is text for a screen reader.
  const cut = (cell) =>
    [...cell.querySelectorAll("*")].some(
      (part) =>
        part.clientWidth > 1 &&
        part.scrollWidth > part.clientWidth + 1 &&
        ["hidden", "clip"].includes(getComputedStyle(part).overflowX),
    );

  // Cells that stand below each other carry the header of their column as a label.
  const isLabelled = (table, column) =>
    [...table.querySelectorAll("td")].some((cell) => {
      const label = getComputedStyle(cell, "::before").content;
      const stacked = !["table-cell", "none"].includes(getComputedStyle(cell).display);
      return cell.cellIndex === column && stacked && !["none", "normal", '""'].includes(label);
    });

  return {
    // Opens or closes every <details>, all alike or each by itself; returns how each was.
    details: (open) => {
      const folds = [...document.querySelectorAll("details")];
      const before = folds.map((fold) => fold.open);
      folds.forEach((fold, index) => (fold.open = Array.isArray(open) ? open[index] : open));
      return before;
    },

    overflow: () => root.scrollWidth - innerWidth,

    height: () => root.scrollHeight,

    hiddenColumns: (scrolls) =>
      [...document.querySelectorAll("table")].flatMap((table, index) => {
        const columns = new Map();
        for (const cell of table.querySelectorAll("th, td")) {
          const text = clean(cell.textContent);
          const isEmpty = !text && !cell.querySelector("img, svg, input");
          if (isEmpty || cell.closest("table") !== table || columns.has(cell.cellIndex)) continue;
          const reason = hidden(cell, whole(cell), scrolls) || (cut(cell) && "cut within its cell");
          const isHead = cell.closest("thead") && isLabelled(table, cell.cellIndex);
          if (reason && !isHead)
            columns.set(cell.cellIndex, `table ${index + 1}, ${text || "a picture"}: ${reason}`);
        }
        return [...columns.values()];
      }),

    textAbove: (limit) => {
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      const range = document.createRange();
      let [text, former] = ["", null];
      while (walker.nextNode()) {
        const node = walker.currentNode;
        let block = node.parentElement;
        while (getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
        if (block !== former) text += "\n";
        former = block;
        for (const { 0: piece, index } of node.data.matchAll(/\s+|\S+/g)) {
          range.setStart(node, index);
          range.setEnd(node, index + piece.length);
          const box = range.getBoundingClientRect();
          if (!piece.trim()) text += " ";
          else if (box.bottom + scrollY <= limit && !hidden(node.parentElement, box, false))
            text += piece;
        }
      }
      return text.split("\n").map(clean).filter(Boolean).join("\n");
    },
  };
}
