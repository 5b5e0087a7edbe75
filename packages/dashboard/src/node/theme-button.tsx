import { ActionIcon, type MantineColorScheme, useMantineColorScheme } from '@mantine/core';
import { moonIcon, screenIcon, sunIcon } from '../ui/icons.tsx';

const NEXT: Readonly<Record<MantineColorScheme, MantineColorScheme>> = { auto: 'light', light: 'dark', dark: 'auto' };
const ICONS = { auto: screenIcon, light: sunIcon, dark: moonIcon };
const WORDS = { auto: 'as the system', light: 'light', dark: 'dark' };

/** Light, dark, or as the system has it. */
export function ThemeButton() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <ActionIcon
      aria-label={`Colours: ${WORDS[colorScheme]}. Change to ${WORDS[NEXT[colorScheme]]}`}
      color="gray"
      onClick={() => setColorScheme(NEXT[colorScheme])}
      size="lg"
      title={`Colours: ${WORDS[colorScheme]}`}
      variant="subtle"
    >
      {ICONS[colorScheme]}
    </ActionIcon>
  );
}
