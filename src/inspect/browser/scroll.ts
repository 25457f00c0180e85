/** Scrolls a box, and nothing around it as scrollIntoView would, until its first element that matches can be seen. */
export function scrollInto(box: HTMLElement | null, selector: string): void {
  const element = box?.querySelector<HTMLElement>(selector)
  if (!box || !element) return
  const top = element.offsetTop - box.offsetTop
  if (top >= box.scrollTop && top + element.offsetHeight <= box.scrollTop + box.clientHeight) return
  box.scrollTop = top - box.clientHeight / 2
}
