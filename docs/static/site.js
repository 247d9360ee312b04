// What scrolls sideways can be reached and scrolled by keyboard, and a part of the navigation is a heading of some level.
for (const box of document.querySelectorAll("pre, .table-wrapper")) box.tabIndex = 0;
for (const part of document.querySelectorAll(".caption[role=heading]")) part.ariaLevel = "2";
