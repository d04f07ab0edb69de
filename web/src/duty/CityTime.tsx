/** City time in the frame of an office page: what "now" is for the roster and for every deadline. */

import { useTick } from "../core/hooks";
import { lang } from "../core/i18n";
import type { CityClock } from "../core/time";
import { hm, longDate } from "../core/time";

export function CityTime({ clock }: { clock: CityClock }) {
  useTick(1000);
  const now = clock.nowUs();
  return (
    <time class="city-time" data-testid="city-time" data-city-us={Math.floor(now)}>
      {longDate(now, lang)} <b>{hm(now)}</b>
    </time>
  );
}
