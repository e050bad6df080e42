/**
 * Game days: a job under a seeded schedule of faults, on real processes, compared with an
 * undisturbed run. {@link org.ftcluster.cli.chaos.Schedule} says what happens and {@link
 * org.ftcluster.cli.chaos.Verdict} whether the promises held, both without effects.
 */
@NullMarked
package org.ftcluster.cli.chaos;

import org.jspecify.annotations.NullMarked;
