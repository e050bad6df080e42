/** What all commands share: where output goes, how failures become exit codes, live progress. */
@NullMarked
package org.ftcluster.cli.console;

import org.jspecify.annotations.NullMarked;
