const more = document.querySelector("#more");
more.addEventListener("click", () => (more.textContent = Number(more.textContent) + 1));
const answer = await fetch("/api/greeting");
document.querySelector("#greeting").textContent = (await answer.json()).greeting;
