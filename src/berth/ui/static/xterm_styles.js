// xterm puts its styles into <style> elements and style attributes, which our content security policy forbids wherever they
// come from. What a script says by CSSOM is allowed: so that is what becomes of them here, before xterm is loaded.
const make = document.createElement.bind(document);
const setAttribute = Element.prototype.setAttribute;

function makeSheet() {
  const sheet = new CSSStyleSheet();
  const stand = make("template"); // is put where the <style> would be, and shows nothing
  Object.defineProperty(stand, "textContent", {
    set(text) {
      sheet.replaceSync(text);
    },
  });
  stand.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
    Element.prototype.remove.call(stand);
  };
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return stand;
}

document.createElement = (name, options) => (name === "style" ? makeSheet() : make(name, options));
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};
