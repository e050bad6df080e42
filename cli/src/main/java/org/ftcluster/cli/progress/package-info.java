/** Following a job: live progress for people, JSON lines for programs, and how it ended. */
@NullMarked
package org.ftcluster.cli.progress;

import org.jspecify.annotations.NullMarked;
