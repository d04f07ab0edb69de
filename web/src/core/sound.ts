/** Alarm sounds: three in all, one at a time, the highest wins. Browsers give sound only after a click unless told otherwise. */

export type Tone = "red" | "orange" | "task";

/** frequency in Hz, start and length in seconds */
const TONES: Record<Tone, [number, number, number][]> = {
  red: [0, 0.32, 0.64].flatMap((start) => [
    [988, start, 0.14],
    [740, start + 0.15, 0.14],
  ]) as [number, number, number][],
  orange: [
    [784, 0, 0.2],
    [659, 0.26, 0.26],
  ],
  task: [
    [659, 0, 0.14],
    [880, 0.17, 0.14],
    [1047, 0.34, 0.24],
  ],
};
const PRIORITY: Tone[] = ["task", "orange", "red"];
const STORED = "citybrain.muted";

export class Sound {
  private context: AudioContext | null = null;
  private playing: { tone: Tone; until: number } | null = null;
  muted = localStorage.getItem(STORED) === "1";

  constructor(private readonly onChange: () => void) {
    const unlock = (): void => void this.unlock();
    window.addEventListener("pointerdown", unlock);
    window.addEventListener("keydown", unlock);
    void this.unlock(); // a kiosk started with --autoplay-policy=no-user-gesture-required plays at once
  }

  get state(): "on" | "off" | "blocked" {
    if (this.muted) return "off";
    return this.context?.state === "running" ? "on" : "blocked";
  }

  toggle(): void {
    this.muted = !this.muted;
    localStorage.setItem(STORED, this.muted ? "1" : "0");
    this.onChange();
  }

  play(tone: Tone): void {
    const context = this.context;
    if (this.muted || context === null || context.state !== "running") return;
    const now = context.currentTime;
    if (this.playing !== null && this.playing.until > now && PRIORITY.indexOf(this.playing.tone) >= PRIORITY.indexOf(tone)) return;
    for (const [frequency, start, length] of TONES[tone]) beep(context, frequency, now + start, length);
    this.playing = { tone, until: now + Math.max(...TONES[tone].map(([, start, length]) => start + length)) };
  }

  private async unlock(): Promise<void> {
    this.context ??= new AudioContext();
    this.context.onstatechange = this.onChange;
    if (this.context.state === "suspended") await this.context.resume();
    this.onChange();
  }
}

function beep(context: AudioContext, frequency: number, start: number, length: number): void {
  const oscillator = context.createOscillator();
  const gain = context.createGain();
  oscillator.frequency.value = frequency;
  oscillator.type = "triangle";
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(0.35, start + 0.015);
  gain.gain.setValueAtTime(0.35, start + length - 0.03);
  gain.gain.linearRampToValueAtTime(0, start + length);
  oscillator.connect(gain).connect(context.destination);
  oscillator.start(start);
  oscillator.stop(start + length);
}
