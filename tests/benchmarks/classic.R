# Classic data sets as CSV files, and the trimmed sums of squares that R's ltsReg finds on them.
#
#     Rscript tests/benchmarks/classic.R FOLDER
#
# writes FOLDER/NAME.csv, with numeric columns and the response last, and FOLDER/r/ltsreg.csv, a line
# for each run of ltsReg: the data set, the core (R's alpha), R's number h of rows, the number of
# starts, and the sum of h squared residuals.  There are 20 runs with R's default of 500 starts, and
# one with all starts of d + 1 rows, or with 20,000 if there are more than MANY.  See README.md.

suppressMessages({ library(robustbase); library(MASS) })

MANY <- 2e5

# Name and response; all other numeric columns are features, and only complete rows are used.
sets <- list(
  aircraft = "Y", airmay = "Y", alcohol = "logSolubility", Animals2 = "brain", attitude = "rating",
  bushfire = "V5", cloud = "CloudPoint", coleman = "Y", condroz = "pH", delivery = "delTime",
  education = "Y", exAM = "y", hbk = "Y", heart = "clength", hills = "time", kootenay = "Newgate",
  lactic = "Y", LifeCycleSavings = "sr", mammals = "brain", milk = "X8", pension = "Reserves",
  phosphor = "plant", pilot = "Y", possumDiv = "Diversity", pulpfiber = "Y1", rock = "perm",
  salinity = "Y", SiegelsEx = "y", stackloss = "stack.loss", starsCYG = "log.light",
  steamUse = "Steam", swiss = "Fertility", telef = "Calls", toxicity = "toxicity", UScrime = "y",
  wagnerGrowth = "y", wood = "y"
)
left_out <- c("Y2", "Y3", "Y4") # the further responses of pulpfiber

run <- function(X, y, alpha, nsamp) {
  # ltsReg announces that it will try all starts.
  invisible(capture.output(found <- suppressWarnings(ltsReg(X, y, alpha = alpha, nsamp = nsamp))))
  rows <- found$best
  fit <- lm.fit(cbind(1, X[rows, , drop = FALSE]), y[rows])
  list(h = found$quan, objective = sum(fit$residuals^2))
}

set.seed(1)
folder <- commandArgs(trailingOnly = TRUE)[1]
dir.create(file.path(folder, "r"), recursive = TRUE, showWarnings = FALSE)
lines <- NULL
for (name in names(sets)) {
  table <- as.data.frame(get(name))
  table <- na.omit(table[sapply(table, is.numeric) & !names(table) %in% left_out])
  y <- as.numeric(table[[sets[[name]]]])
  X <- as.matrix(table[names(table) != sets[[name]]])
  write.csv(data.frame(X, response = y), file.path(folder, paste0(name, ".csv")), row.names = FALSE)
  every <- if (choose(nrow(X), ncol(X) + 1) <= MANY) "exact" else 20000
  for (alpha in c(0.75, 0.5)) {
    for (nsamp in c(every, rep(500, 20))) {
      nsamp <- if (nsamp == "exact") nsamp else as.numeric(nsamp)
      found <- run(X, y, alpha, nsamp)
      lines <- rbind(lines, data.frame(
        dataset = name, core = alpha, h = found$h, starts = nsamp, objective = found$objective
      ))
    }
  }
}
write.csv(lines, file.path(folder, "r", "ltsreg.csv"), row.names = FALSE)
